/** `<button data-dialog="id">` opens a `<dialog>`; `[data-close]` closes it; nothing else does. */

/** Make the page's dialogs open and close; focus returns to where it was by itself. */
export function start() {
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    if (opener) {
      const dialog = document.getElementById(opener.dataset.dialog);
      dialog.showModal();
      dialog.dispatchEvent(new CustomEvent("dialog:open", { detail: { opener } }));
    }
    event.target.closest("[data-close]")?.closest("dialog")?.close("closed");
  });
}

/**
 * Whether the person agreed, in the dialog `id`: by its button `[data-agree]`.
 *
 * `fill(dialog)` may write the particulars into it first.
 */
export function agreed(id, fill = () => {}) {
  const dialog = document.getElementById(id);
  fill(dialog);
  dialog.returnValue = "";
  dialog.showModal();
  const agree = dialog.querySelector("[data-agree]");
  const onAgree = () => dialog.close("agreed");
  agree.addEventListener("click", onAgree);
  return new Promise((settle) => {
    dialog.addEventListener(
      "close",
      () => {
        agree.removeEventListener("click", onAgree);
        settle(dialog.returnValue === "agreed");
      },
      { once: true },
    );
  });
}
