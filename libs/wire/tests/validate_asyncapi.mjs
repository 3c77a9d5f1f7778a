// Checks an AsyncAPI document with the official parser. Run by test_protocol_pages.py in a folder that has it.
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";

const [parserFolder, file] = process.argv.slice(2);
const { Parser } = createRequire(path.join(parserFolder, "package.json"))("@asyncapi/parser");
const { document, diagnostics } = await new Parser().parse(fs.readFileSync(file, "utf8"));
const problems = diagnostics.filter((one) => one.severity < 2); // 0 error, 1 warning; the rest is advice
for (const one of problems) console.log(`${one.path.join(".")}: ${one.message}`);
if (document === undefined || problems.length > 0) process.exit(1);
console.log(`${document.channels().length} channels, ${document.operations().length} operations`);
