// Validates an AsyncAPI document with the official parser: prints what is wrong, one line each.
import { readFile } from "node:fs/promises";
import { DiagnosticSeverity, Parser } from "@asyncapi/parser";

const text = await readFile(process.argv[2], "utf-8");
const { document, diagnostics } = await new Parser().parse(text);
const errors = diagnostics.filter(({ severity }) => severity === DiagnosticSeverity.Error);
for (const { path, message, code } of errors) console.log(`${path.join(".")}: ${message} (${code})`);
if (!document || errors.length) process.exit(1);
console.log(`${document.allChannels().length} channels, ${document.allOperations().length} operations`);
