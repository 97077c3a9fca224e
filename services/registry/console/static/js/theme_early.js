// A classic script on purpose: it runs before the first paint, so a chosen theme never flashes.
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  try {
    const chosen = localStorage.getItem("dragoman.theme");
    if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;
  } catch (blocked) {
    console.info("The theme follows the system: this browser keeps nothing for this page.", blocked.name);
  }
})();
