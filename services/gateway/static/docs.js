"use strict";

// Without the internet the plain link of the page stays.
if (typeof SwaggerUIBundle === "function") {
  SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true });
}
