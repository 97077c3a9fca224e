/** A session ended while something was being typed: sign in right there, and lose nothing. */

import { say } from "./text.js";

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
  const submit = async (event) => {
    event.preventDefault();
    fault.textContent = await signIn(key.value);
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
  const answer = await response.json();
  if (!response.ok) return answer.error.message;
  document.querySelector('meta[name="csrf-token"]').content = answer.csrf_token;
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) {
    field.value = answer.csrf_token;
  }
  return "";
}
