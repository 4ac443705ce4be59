// Validates a FHIR R4 bundle with all that is in it: prints what is wrong, one line each.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const { Fhir } = createRequire(import.meta.url)("fhir/fhir");
const bundle = JSON.parse(await readFile(process.argv[2], "utf-8"));
const { messages } = new Fhir().validate(bundle, { errorOnUnexpected: true });
const problems = messages.filter(({ severity }) => severity === "error" || severity === "fatal");
for (const { location, message } of problems) console.log(`${location}: ${message}`);
if (problems.length) process.exit(1);
