// A host as the extension describes it: the page in a sandboxed frame, the public bridge beside it.
import { AppBridge, PostMessageTransport } from "@modelcontextprotocol/ext-apps/app-bridge";

window.opened = [];
window.sizes = [];

window.show = async (html, toolInput, toolResult, context) => {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  frame.style.cssText = "width:100%;height:200px;border:0";
  document.body.append(frame);
  const bridge = new AppBridge(
    null,
    { name: "test host", version: "1.0.0" },
    { openLinks: {}, serverTools: {} },
    { hostContext: context },
  );
  bridge.onopenlink = async ({ url }) => {
    window.opened.push(url);
    return {};
  };
  bridge.oncalltool = async (params) => JSON.parse(await window.callTool(JSON.stringify(params)));
  bridge.onsizechange = ({ width, height }) => {
    window.sizes.push(height);
    frame.style.height = `${height}px`;
  };
  const ready = new Promise((resolve) => { bridge.oninitialized = resolve; });
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.srcdoc = html;
  await ready;
  await bridge.sendToolInput({ arguments: toolInput });
  await bridge.sendToolResult(toolResult);
  window.bridge = bridge;
};
