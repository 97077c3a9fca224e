/** The light and dark toggle: the system decides until somebody presses it. */

const KEPT = "dragoman.theme";

const isDark = () =>
  (document.documentElement.dataset.theme ??
    (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

/** Make `button` switch the theme; its pressed state says whether the page is dark. */
export function toggle(button) {
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(KEPT, theme);
    } catch (blocked) {
      console.info("The theme lasts until the page is left.", blocked.name);
    }
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}
