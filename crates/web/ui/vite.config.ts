import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// Fixed file names: the build is committed, and a changed byte should show as a changed line of an old file.
// `npm run dev` works against a server of this machine: the one in MAESTRIA_SERVER, or the usual one.
const server = process.env["MAESTRIA_SERVER"] ?? "http://127.0.0.1:8090";

export default defineConfig({
  plugins: [svelte()],
  server: { proxy: { "/api": server, "/health": server } },
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: false,
    target: "es2022",
    rollupOptions: {
      output: {
        entryFileNames: "app.js",
        chunkFileNames: "[name].js",
        assetFileNames: (asset) => (asset.names[0]?.endsWith(".css") ? "app.css" : "[name][extname]"),
      },
    },
  },
  test: { include: ["src/**/*.test.ts"] },
});
