// Renews the table of what arrives every two seconds, while the page is seen and nobody has paused it.

const rows = document.querySelector("#rows");
const pause = document.querySelector("#pause");
let isPaused = false;

if (rows && pause) {
  pause.hidden = false;
  pause.addEventListener("click", () => {
    isPaused = !isPaused;
    pause.textContent = isPaused ? "Go on" : "Pause";
  });
  setInterval(async () => {
    if (isPaused || document.hidden) return;
    const reply = await fetch(rows.dataset.address).catch(() => null);
    if (reply && reply.ok && !reply.redirected) rows.innerHTML = await reply.text();
  }, 2000);
}
