/** What every page does; a page's own module comes after this one. */

import * as copy from "./copy.js";
import * as dialog from "./dialog.js";
import * as forms from "./forms.js";
import * as live from "./live.js";
import * as menu from "./menu.js";
import * as suggest from "./suggest.js";
import * as theme from "./theme.js";
import * as time from "./time.js";

time.keep();
copy.start();
dialog.start();
forms.start();
live.start();
for (const button of document.querySelectorAll("[data-theme-toggle]")) theme.toggle(button);
for (const button of document.querySelectorAll("[data-menu]")) menu.start(button);
for (const select of document.querySelectorAll("select[data-submits]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
for (const input of document.querySelectorAll("input[data-providers]")) suggest.start(input);
