/** A session ended while something was being typed: sign in right there, and lose nothing. */

import { say } from "./text.js";
import { adopt } from "./token.js";

let asking = null;

/** Whether the person signed in again; true also lets the failed call go once more. */
export function signInAgain(signal) {
  asking ??= ask().finally(() => (asking = null));
  if (!signal) return asking;
  return Promise.race([
    asking,
    new Promise((settle) => signal.addEventListener("abort", () => settle(false), { once: true })),
  ]);
}

function ask() {
  const dialog = document.getElementById("sign-in-again");
  const form = dialog.querySelector("form");
  const key = form.elements.namedItem("key");
  const fault = dialog.querySelector("[data-fault]");
  const button = form.querySelector('button[type="submit"]');
  const submit = async (event) => {
    event.preventDefault();
    if (button.disabled) return; // of two sessions this page would know the token of either
    button.disabled = true;
    fault.textContent = await signIn(key.value);
    button.disabled = false;
    if (fault.textContent) key.focus();
    else dialog.close("signed-in");
  };
  fault.textContent = "";
  dialog.returnValue = "";
  form.addEventListener("submit", submit);
  dialog.showModal();
  return new Promise((settle) => {
    dialog.addEventListener(
      "close",
      () => {
        form.removeEventListener("submit", submit);
        key.value = "";
        settle(dialog.returnValue === "signed-in");
      },
      { once: true },
    );
  });
}

/** Begin a session; why not, or nothing. This page's token becomes that of the new session. */
async function signIn(key) {
  let response;
  try {
    response = await fetch("/login", {
      method: "POST",
      headers: { Accept: "application/json" },
      credentials: "same-origin",
      body: new URLSearchParams({ key }),
    });
  } catch (unreachable) {
    console.info("Nobody could be asked for a session.", unreachable.name);
    return say("unreachable");
  }
  if (!/\bjson\b/.test(response.headers.get("Content-Type") ?? "")) return say("unreachable"); // a proxy's
  const answer = await response.json();
  if (!response.ok) return answer.error.message;
  adopt(answer.csrf_token);
  return "";
}
