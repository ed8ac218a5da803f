// Copy buttons: they appear where a browser can copy, and copy the text of the element they name.
"use strict";
if (navigator.clipboard) {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    const label = button.textContent;
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copy);
      try {
        await navigator.clipboard.writeText((source.value ?? source.textContent).trim());
        button.textContent = "Copied";
      } catch {
        button.textContent = "Please copy by hand";
      }
      setTimeout(() => { button.textContent = label; }, 3000);
    });
  }
}
