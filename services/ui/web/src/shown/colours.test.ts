import { expect, it } from "vitest";
import { faint } from "./colours";

it("keeps the three parts of a colour and gives it an alpha", () => {
  expect(faint("rgb(44, 199, 155)", 0.5)).toBe("rgba(44, 199, 155, 0.5)");
  expect(faint("rgba(44, 199, 155, 0.9)", 0.5)).toBe("rgba(44, 199, 155, 0.5)");
});
