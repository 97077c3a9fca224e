/** Sentences for scripts: they stand in the page's templates (`<template data-texts>`), not here. */

/** The sentence called `name`, its `{places}` filled from `values`; always plain text. */
export function say(name, values = {}) {
  for (const texts of document.querySelectorAll("template[data-texts]")) {
    const found = texts.content.querySelector(`[data-text="${CSS.escape(name)}"]`);
    if (found) {
      return found.textContent.trim().replace(/\{(\w+)\}/g, (place, key) => values[key] ?? place);
    }
  }
  throw new Error(`Expected a text called ${name} in this page's templates.`);
}

/** Tell `message` to people who see and to people who listen, for some seconds. */
export function announce(message) {
  const toast = document.getElementById("toast");
  toast.textContent = message;
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => (toast.textContent = ""), 4000);
}
