// The print button: it appears where a browser can print.
"use strict";
if (window.print) {
  for (const help of document.querySelectorAll("[data-print-help]")) help.hidden = true;
  for (const button of document.querySelectorAll("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => window.print());
  }
}
