// What a browser knows better than the one who opens a place: where it is.
const zone = document.querySelector('[name=timezone]'), country = document.querySelector('[name=country]');
if (zone && !zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || '';
if (country && !country.value) country.value = (/-([A-Z]{2})\b/.exec(navigator.language) || [])[1] || '';
