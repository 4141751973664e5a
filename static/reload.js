setTimeout(function () { location.href = document.body.getAttribute('data-here'); }, 15000);
