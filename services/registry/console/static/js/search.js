/**
 * `<form data-search="region">`: filters apply while they are typed, in the address too, so that the
 * page can be reloaded, kept and sent to somebody. Without scripts the form is sent as it is.
 */

import { refresh } from "./live.js";

const PAUSE = 200; // ms without a key before it looks

function address(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value.trim()) query.append(name, value.trim());
  }
  const text = query.toString();
  return form.getAttribute("action") + (text ? `?${text}` : "");
}

for (const form of document.querySelectorAll("form[data-search]")) {
  const region = document.getElementById(form.dataset.search);
  let timer = null;
  const look = async () => {
    clearTimeout(timer);
    const wanted = address(form);
    if (wanted === location.pathname + location.search) return;
    history.replaceState(null, "", wanted);
    region.setAttribute("aria-busy", "true");
    await refresh(region);
    region.removeAttribute("aria-busy");
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE);
  });
  form.addEventListener("change", look);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    look();
  });
}
