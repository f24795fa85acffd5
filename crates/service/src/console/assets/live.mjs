// Keeps a list fresh while it is looked at: asks for the page again and puts its part marked `data-live` in place. Without
// it the page is as good as when it was loaded.

const EVERY = 2000;
const part = document.querySelector('[data-live]');
const status = document.querySelector('#live-status');
const button = document.querySelector('#live-pause');
let paused = false;

async function refresh() {
  if (paused || document.hidden || part.contains(document.activeElement)) return;
  const answer = await fetch(location.href, { headers: { accept: 'text/html' } });
  if (!answer.ok) {
    status.textContent = `not fresh: the server answered ${answer.status}`;
    return;
  }
  // Parsed apart from this document: no script of it runs, and the policy would not let it.
  const next = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('[data-live]');
  const more = Number(next.dataset.live) - Number(part.dataset.live);
  if (more === 0) return;
  part.dataset.live = next.dataset.live;
  part.replaceChildren(...next.childNodes);
  status.textContent = more === 1 ? 'one more' : `${more} more`;
}

button.hidden = false;
button.addEventListener('click', () => {
  paused = !paused;
  button.textContent = paused ? 'Go on' : 'Pause';
  status.textContent = paused ? 'paused' : 'live';
});
status.textContent = 'live';
setInterval(() => refresh().catch(() => { status.textContent = 'not fresh: no answer'; }), EVERY);
