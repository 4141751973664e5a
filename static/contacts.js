// Ticks ranges of contacts, and says how many are chosen.
import './forms.js';

const form = document.getElementById('bulk');

if (form) {
  const boxes = [...form.querySelectorAll('[name=ids]')], page = document.getElementById('page');
  const all = form.elements.all, chosen = document.getElementById('chosen');
  const few = chosen.textContent;
  let last;

  function show() {
    const many = boxes.filter(box => box.checked).length;
    page.checked = many === boxes.length;
    page.indeterminate = many > 0 && !page.checked;
    chosen.textContent = all.checked ? 'All selected' : many ? `${many} selected` : few;
  }

  // With Shift, all from the last that was ticked to this one become as this one is.
  form.addEventListener('click', event => {
    const box = event.target;
    if (!boxes.includes(box)) return;
    const [from, to] = [boxes.indexOf(last), boxes.indexOf(box)].sort((a, b) => a - b);
    if (event.shiftKey && from >= 0) boxes.slice(from, to + 1).forEach(each => { each.checked = box.checked; });
    last = box;
    show();
  });
  page.closest('label').hidden = false;
  page.addEventListener('change', () => {
    boxes.forEach(box => { box.checked = page.checked; });
    show();
  });
  all.addEventListener('change', show);
  show();
}
