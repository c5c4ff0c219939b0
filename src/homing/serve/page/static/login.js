// The link was opened by a person's hand: go on without another click.
document.querySelector("form").submit();
