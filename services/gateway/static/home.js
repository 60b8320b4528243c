"use strict";

const byId = (id) => document.getElementById(id);
const status = byId("status");
const picture = byId("picture");

function say(text, isError = false) {
  status.textContent = text;
  status.classList.toggle("error", isError);
}

function show(answer) {
  picture.src = `data:image/jpeg;base64,${answer.image}`;
  picture.hidden = false;
  const seconds = answer.processing_time.toFixed(2);
  const noun = answer.num_instances === 1 ? "object" : "objects";
  say(`${answer.num_instances} ${noun} in ${seconds} s`);
}

async function findObjects(event) {
  event.preventDefault();
  const form = new FormData();
  form.append("file", byId("file").files[0]);
  say("Looking…");
  picture.hidden = true;
  try {
    const url = `/process-image?include=image&threshold=${byId("threshold").value}`;
    const response = await fetch(url, { method: "POST", body: form });
    const answer = await response.json();
    if (response.ok) {
      show(answer);
    } else {
      const { message, expected } = answer.error;
      say(expected ? `${message} Expected: ${expected}.` : message, true);
    }
  } catch {
    say("The service does not answer.", true);
  }
}

byId("form").addEventListener("submit", findObjects);
byId("threshold").addEventListener("input", (event) => {
  byId("shown").textContent = Number(event.target.value).toFixed(2);
});
