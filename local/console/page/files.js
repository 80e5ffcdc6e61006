/** Files: chosen by a button, or dropped on one half of the page or the other. */

/** @param {{ speech: (file: File) => void, music: (file: File) => void }} takers */
export function takeFiles({ speech, music }) {
  const takers = { speech, music };
  chosen("audio", speech);
  chosen("music", music);

  const veil = document.getElementById("drop");
  const fields = [...veil.children];
  const show = (isShown) => (veil.hidden = !isShown);
  addEventListener("dragenter", (event) => event.dataTransfer?.types.includes("Files") && show(true));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    show(false);
  });
  veil.addEventListener("dragleave", (event) => event.relatedTarget === null && show(false));
  for (const field of fields) {
    field.addEventListener("dragenter", () => fields.forEach((other) => other.classList.toggle("is-over", other === field)));
    field.addEventListener("drop", (event) => {
      const file = event.dataTransfer.files[0];
      if (file) takers[field.dataset.for](file);
    });
  }
}

function chosen(name, take) {
  const input = document.getElementById(`${name}-file`);
  document.getElementById(name).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    if (input.files[0]) take(input.files[0]);
    input.value = "";
  });
}
