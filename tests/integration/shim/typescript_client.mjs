// The public TypeScript SDK as a client: prints what it was answered, as one JSON object.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [command, ...args] = process.argv.slice(2);
const transport = new StdioClientTransport({ command, args, env: process.env });
const client = new Client({ name: "typescript", version: "1" });
await client.connect(transport);

// callTool checks the structured content by the tool's output schema.
const call = async (name, given) =>
  (await client.callTool({ name, arguments: given })).structuredContent;

const found = {};
found.tools = (await client.listTools()).tools.map((tool) => tool.name);
found.logged = await call("log_event", {
  activity: "cdesk.user_asked",
  feature_json: '{"question": "why?"}',
  link: null,
});
found.insight = await call("log_insight", { subject: "atlas", metric: "questions", value: 3 });
found.context = await call("get_context", { max_bytes: "4096" });
found.ticket = await call("submit_query", { template: "recent_activities", params: {} });
found.state = await call("get_result", { ticket_id: found.ticket.ticket_id });
found.described = await call("describe_template", { template: "recent_activities" });
found.forgotten = await call("forget_insight", { insight_id: found.insight.insight_id });
found.after = await call("get_context", {});
found.prompts = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
found.prompt = await client.getPrompt({ name: "forget", arguments: { subject: "atlas" } });
found.completion = await client.complete({
  ref: { type: "ref/prompt", name: "what_did_i_do" },
  argument: { name: "topic", value: "cdesk.file_r" },
});
found.resources = (await client.listResources()).resources.map((resource) => resource.uri);
found.resource = await client.readResource({ uri: "cdesk://templates/recent_activities" });
console.log(JSON.stringify(found));
await client.close();
