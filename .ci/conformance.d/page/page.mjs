// The interactive page in a real browser: `page.mjs URL TOKEN`. It must load nothing from elsewhere, break no rule of
// its own policy, log nothing, and "Authorize" must work against the running service.
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { chromium } from "playwright-core";

const [url, token] = process.argv.slice(2);
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
// Chromium's own sandbox does not work for root, nor in most containers.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage();
page.setDefaultTimeout(30_000);
const said = [];
const asked = [];
page.on("console", (message) => said.push(message.text()));
page.on("pageerror", (error) => said.push(error.message));
page.on("request", (request) => asked.push(request.url()));
await page.addInitScript(() => {
  window.violations = [];
  document.addEventListener("securitypolicyviolation", (event) => {
    window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
  });
});

// Opens an operation, runs it, and returns the status that the page shows.
async function run(operation, version) {
  const block = page.locator(`#operations-Models-${operation}`);
  if (!(await block.locator(".btn.execute").count())) await block.locator(".opblock-summary").click();
  if (version) await block.getByPlaceholder("version").fill(version);
  const answered = page.waitForResponse((response) => response.url().includes("/api/v1/"));
  await block.locator(".btn.execute").click();
  const status = (await answered).status();
  const shown = block.locator(".live-responses-table .response-col_status").filter({ hasText: String(status) });
  await shown.first().waitFor();
  return status;
}

const paths = Object.values((await (await fetch(`${url}/openapi.json`)).json()).paths);
const operations = paths.reduce((sum, methods) => sum + Object.keys(methods).length, 0);
await page.goto(`${url}/docs`);
await page.locator(".opblock").first().waitFor();
assert.equal(await page.locator(".opblock").count(), operations);

await page.locator(".btn.authorize").click();
await page.locator(".modal-ux input").fill(token);
await page.locator(".modal-ux .btn.authorize").click();
await page.locator(".modal-ux .btn-done").click();
assert.equal(await run("getCurrentModel"), 200);
assert.equal(await run("downloadArtifact", "v1.1.0"), 200);
assert.equal(await run("validateModel", "v1.1.0"), 200);
for (;;) {
  const closed = page.locator(".opblock:not(.is-open) .opblock-summary");
  const left = await closed.count();
  if (left === 0) break;
  await closed.first().click();
  await page.waitForFunction((n) => document.querySelectorAll(".opblock:not(.is-open)").length < n, left);
}
assert.deepEqual(await page.evaluate(() => window.violations), []);
assert.deepEqual(said, []);
const foreign = asked.filter((address) => !address.startsWith(`${url}/`) && !/^(data|blob):/.test(address));
assert.deepEqual(foreign, []);
const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
assert.ok(!kept.includes(token), "the token is kept beyond the page");

// Behind a gateway that removes a prefix.
const gateway = createServer((incoming, outgoing) => {
  const path = incoming.url.startsWith("/registry/") ? incoming.url.slice("/registry".length) : "/nowhere";
  const { method, headers } = incoming;
  const onward = request(url + path, { method, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.headers);
    answer.pipe(outgoing);
  });
  incoming.pipe(onward);
}).listen(0, "127.0.0.1");
await new Promise((ready) => gateway.once("listening", ready));
const behind = `http://127.0.0.1:${gateway.address().port}/registry`;
for (const path of ["/docs", "/docs/", "/redoc"]) {
  await page.goto(behind + path);
  await page.locator(".opblock").first().waitFor();
  assert.equal(page.url(), `${behind}/docs`);
}
assert.deepEqual(said, []);
if (process.env.SCREENSHOT) {
  await page.goto(`${url}/docs`);
  await page.locator(".opblock").first().waitFor();
  await page.screenshot({ path: process.env.SCREENSHOT });
}
await browser.close();
gateway.closeAllConnections();
gateway.close();
console.log(`${operations} operations shown, ${asked.length} requests, none to anywhere else`);
