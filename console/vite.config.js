// One page, one script, one style sheet, under names that stay: the server compiles them in (src/http/console.rs) and
// its ETag tells browsers when they change.
import { defineConfig } from "vite";

// The server that `npm run dev` asks.
const API = "http://127.0.0.1:9000";

export default defineConfig({
    base: "/static/console/",
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    build: {
        outDir: "../assets/console",
        emptyOutDir: true,
        target: "es2022",
        modulePreload: false,
        rollupOptions: {
            output: {
                entryFileNames: "console.js",
                assetFileNames: "console.[ext]",
                codeSplitting: false,
            },
        },
    },
    server: { proxy: { "/api": API, "/-": API } },
});
