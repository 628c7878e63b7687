const dark = window.matchMedia("(prefers-color-scheme: dark)");
const followTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followTheme);
followTheme();

SwaggerUIBundle({
    url: "/api/v3/schema/?format=json",
    dom_id: "#browser",
    deepLinking: true,
    // The token stays in this browser's local storage until "Logout".
    persistAuthorization: true,
    tryItOutEnabled: true,
    displayRequestDuration: true,
    filter: true,
    defaultModelsExpandDepth: 0,
    // Otherwise the document would be sent to a validator on the internet.
    validatorUrl: null,
});
