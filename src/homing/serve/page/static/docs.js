// The reference as Swagger UI shows it: everything can be tried, as whoever is signed in or with a key. Until it has
// loaded, and without scripts, what the server drew stands here.
const meta = (name) => document.querySelector(`meta[name=${name}]`).content;

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const dress = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", dress);
dress();

window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: document.getElementById("reference").dataset.document,
    dom_id: "#reference",
    validatorUrl: null,
    deepLinking: true,
    displayRequestDuration: true,
    docExpansion: "none",
    defaultModelsExpandDepth: 0,
    requestInterceptor(request) {
      if ((request.method ?? "GET") !== "GET") request.headers["X-CSRF-Token"] = meta("csrf-token");
      return request;
    },
  });
});
