// What tests do in Thunderbird, in the words of its own user interface.
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const { MailUtils } = ChromeUtils.importESModule("resource:///modules/MailUtils.sys.mjs");
const { setTimeout } = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");

const FLAGS = Ci.nsMsgFolderFlags;

async function until(what, ready, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = ready();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise(resolve => setTimeout(resolve, 25));
  }
}

async function trust(authority) {
  const certificates = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
  certificates.addCertFromBase64(authority, "C,,");
}

// Trusts the authority and saves the password, as the settings dialogs do.
async function setUp(authority, host, user, password) {
  await trust(authority);
  for (const scheme of ["imap", "smtp"]) {
    const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
    const origin = `${scheme}://${host}`;
    login.init(origin, null, origin, user, password, "", "");
    await Services.logins.addLoginAsync(login);
  }
  await until("the main window", () => pane()?.threadTree);
}

function mainWindow() {
  return Services.wm.getMostRecentWindow("mail:3pane");
}

function pane() {
  return mainWindow()?.document.getElementById("tabmail")?.currentAbout3Pane;
}

function server() {
  return MailServices.accounts.allServers.find(s => s.type == "imap");
}

function folder(name) {
  return server().rootFolder.descendants.find(f => f.name.toLowerCase() == name.toLowerCase());
}

function messages(of) {
  return [...of.messages];
}

function subjects(name) {
  return messages(folder(name)).map(header => header.mime2DecodedSubject).sort();
}

// Opens a folder, as a click on it does, and waits for `count` messages in it.
async function openFolder(name, count) {
  if (!folder(name)) {
    server().performExpand(null);
    await until(`the folder ${name}`, () => folder(name));
  }
  pane().displayFolder(folder(name).URI);
  await until(`${count} messages in ${name}`, () => messages(folder(name)).length == count);
  await until("the list to show them", () => pane().gDBView?.numMsgsInView == count);
  return subjects(name);
}

// Waits, without touching anything, until a folder has `count` messages.
async function isTold(name, count) {
  await until(`${name} to grow to ${count}`, () => messages(folder(name)).length == count);
  return subjects(name);
}

// Selects the message with that subject and waits until its text is on the screen.
async function openMessage(subject) {
  const view = pane().gDBView;
  let row = -1;
  for (let n = 0; n < view.rowCount; n++) {
    if (view.getMsgHdrAt(n).mime2DecodedSubject == subject) row = n;
  }
  if (row < 0) throw new Error(`no message ${subject}`);
  const header = view.getMsgHdrAt(row);
  pane().threadTree.selectedIndex = row;
  return until("the text of the message", () => {
    const shown = pane().messageBrowser.contentWindow;
    if (shown.gMessage?.messageKey != header.messageKey) return null;
    const text = shown.getMessagePaneBrowser()?.contentDocument?.body?.textContent;
    return header.isRead && text?.trim() ? text : null;
  });
}

// A command of the menus, for the selected message.
async function command(name, argument) {
  pane().commandController.doCommand(name, argument);
}

// Sends a message from a compose window.
async function send(to, subject, text) {
  const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
  fields.to = to;
  fields.subject = subject;
  fields.body = text;
  const params = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
  params.type = Ci.nsIMsgCompType.New;
  params.format = Ci.nsIMsgCompFormat.PlainText;
  params.composeFields = fields;
  params.identity = MailServices.accounts.allIdentities[0];
  MailServices.compose.OpenComposeWindowWithParams(null, params);
  const open = () => Services.wm.getMostRecentWindow("msgcompose");
  const composer = await until("the compose window", () => open()?.ComposeIsReady ?? open()?.composeEditorReady ? open() : null);
  composer.goDoCommand("cmd_sendNow");
  await until("the message to be sent and filed", () => !open() || open().closed, 40);
}

// Sets up an account as the account hub does: from the address alone.
async function findAndCreate(address, name, password) {
  const module = of => ChromeUtils.importESModule(`resource:///modules/accountcreation/${of}.sys.mjs`);
  const { FindConfig } = module("FindConfig");
  const { AccountConfig } = module("AccountConfig");
  const { CreateInBackend } = module("CreateInBackend");
  const signal = new AbortController().signal;
  const finding = FindConfig.parallelAutoDiscovery(address.split("@")[1], address, signal);
  const found = await finding.next();
  if (!found.done || !found.value) throw new Error(`nothing found: ${JSON.stringify(found)}`);
  const config = found.value;
  AccountConfig.replaceVariables(config, name, address, password);
  config.rememberPassword = true;
  await CreateInBackend.createAccountInBackend(config);
  const shown = server => [server.type, server.hostname, server.port,
    server.socketType == Ci.nsMsgSocketType.SSL ? "TLS" : `socket ${server.socketType}`, server.username];
  await until("the main window", () => pane()?.threadTree);
  return { source: config.subSource, incoming: shown(config.incoming), outgoing: shown(config.outgoing) };
}
