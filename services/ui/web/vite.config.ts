import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** The platform behind `npm run dev`. */
const PLATFORM = process.env["TRADEWIND_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  server: {
    proxy: {
      // The platform takes what comes from its own page only; here that is this server, so it is told its own name.
      "/api": {
        target: PLATFORM,
        changeOrigin: true,
        ws: true,
        configure: (proxy) => {
          proxy.on("proxyReq", (request) => request.setHeader("origin", PLATFORM));
          proxy.on("proxyReqWs", (request) => request.setHeader("origin", PLATFORM));
        },
      },
    },
  },
  build: {
    outDir: "../src/tradewind/services/ui/assets",
    emptyOutDir: true,
    target: "es2022",
    // The page's policy takes scripts, styles and images from files of its own address only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
