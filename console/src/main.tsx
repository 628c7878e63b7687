import { render } from "preact";

import { App } from "./app";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/parts.css";
import "./styles/forms.css";
import "./styles/lists.css";
import "./styles/above.css";

const place = document.getElementById("console");
if (place) render(<App />, place);
