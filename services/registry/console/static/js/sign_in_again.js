/** A session ended while something was being typed: sign in beside it, and lose nothing. */

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
  const waits = dialog.querySelector("[data-not-yet]");
  waits.hidden = true;
  dialog.showModal();
  return new Promise((settle) => {
    const look = async (pressed) => {
      if (document.hidden) return;
      if (await renewed()) dialog.close("signed-in");
      else if (pressed) waits.hidden = false;
    };
    const onReturn = () => look(false);
    const onPress = () => look(true);
    const button = dialog.querySelector("[data-signed-in]");
    button.addEventListener("click", onPress);
    document.addEventListener("visibilitychange", onReturn);
    dialog.addEventListener(
      "close",
      () => {
        button.removeEventListener("click", onPress);
        document.removeEventListener("visibilitychange", onReturn);
        settle(dialog.returnValue === "signed-in");
        dialog.returnValue = "";
      },
      { once: true },
    );
  });
}

/** Whether there is a session now; this page's token becomes that of the new one. */
async function renewed() {
  let response;
  try {
    response = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
  } catch (unreachable) {
    console.info("The server could not be asked for a session.", unreachable.name);
    return false;
  }
  if (!response.ok) return false;
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const token = page.querySelector('meta[name="csrf-token"]')?.content;
  if (!token) return false;
  document.querySelector('meta[name="csrf-token"]').content = token;
  for (const field of document.querySelectorAll('input[name="csrf_token"]')) field.value = token;
  return true;
}
