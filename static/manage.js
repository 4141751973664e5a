// Copies links, ticks boxes, and shows how many are inside as the doors count them.
import { showBackup } from './backup.js';
import { watch } from './live.js';
import { inside } from './words.js';

for (const button of document.querySelectorAll('[data-copy]')) {
  button.hidden = false;
  button.addEventListener('click', async () => {
    const link = document.getElementById(button.dataset.copy);
    link.select();
    try {
      await navigator.clipboard.writeText(link.value);
    } catch (error) {
      document.execCommand('copy');  // the only way on a page that came over plain http
    }
    const text = button.textContent;
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = text; }, 2000);
  });
}

for (const all of document.querySelectorAll('[data-all]')) {
  const boxes = [...all.form.querySelectorAll(`[name=${all.dataset.all}]`)];
  all.closest('label').hidden = false;
  all.addEventListener('change', () => boxes.forEach(box => { box.checked = all.checked; }));
}

showBackup(document.getElementById('backup'));
watch(({ counters }) => inside(counters));
