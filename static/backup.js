// How the backups are, in the owner's page: asked for now and then, and the age of the last one counts on meanwhile.
import { ask, say } from './live.js';
import { duration } from './words.js';

const ASK = 10000;

export function showBackup(line) {
  const [word, said, lease] = line.children;
  let age = Number(line.dataset.age), since = performance.now();

  function count() {
    const seconds = age + Math.floor((performance.now() - since) / 1000);
    said.textContent = said.textContent.replace(/(Last backup ).*?( ago)/, `$1${duration(seconds)}$2`);
  }

  async function look() {
    if (document.hidden) return;
    try {
      const answer = await ask(document.body.dataset.here, { headers: { Accept: 'application/json' } });
      const { backup } = await answer.json();
      if (backup) show(backup);
    } catch (error) { /* watch() says that the server is away; the age counts on */ }
  }

  function show(backup) {
    if (backup.word !== word.textContent) say(`${backup.word}. ${backup.said}`);
    line.dataset.state = backup.state;
    word.textContent = backup.word;
    said.textContent = backup.said;
    lease.textContent = backup.lease;
    age = backup.age_s;
    since = performance.now();
  }

  setInterval(count, 1000);
  setInterval(look, ASK);
  document.addEventListener('visibilitychange', look);
}
