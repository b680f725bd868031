import * as service from "./service.js";
import { sentence, status } from "./words.js";

const at = (id) => document.getElementById(id);
const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

// In memory only: neither storage nor cookies, so another script of this origin, or a shared computer, has less to find.
let token = "";
// Of the last number whose invitation has not been answered: asking again with it invites nobody twice.
let arrived = ""; // came by a link, and nobody has agreed to it yet
let pending = { number: "", key: "" };
let cursor = null;
let asked = 0; // answers to an older list are dropped

function signIn(given) {
  token = given;
  arrived = "";
  at("arrived").hidden = true;
  at("sign-in").hidden = true;
  at("signed-in").hidden = false;
  at("phone").focus();
  list();
}

function signOut(why) {
  token = "";
  at("signed-in").hidden = true;
  at("made").hidden = true;
  at("arrived").hidden = true;
  at("invitations").replaceChildren();
  if (why) at("sign-in-why").textContent = why;
  at("sign-in").hidden = false;
  at("token").value = "";
  at("token").focus();
}

const key = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

function complain(text) {
  at("phone-error").textContent = text;
  at("phone").setAttribute("aria-invalid", String(Boolean(text)));
  if (text) at("phone").focus();
}

async function invite() {
  const number = at("phone").value.trim();
  if (!number) return complain("Enter your friend’s phone number.");
  if (at("invite").getAttribute("aria-disabled") === "true") return;
  complain("");
  at("made").hidden = true;
  if (pending.number !== number) pending = { number, key: key() };
  // Not `disabled`: that would throw away the focus of somebody who works by keyboard.
  at("invite").setAttribute("aria-disabled", "true");
  const { body, headers, problem } = await service.invite(token, number, pending.key);
  at("invite").removeAttribute("aria-disabled");
  if (problem) return refused(problem);
  pending = { number: "", key: "" };
  left(headers);
  at("phone").value = "";
  await show(body.inviteCode, headers.get("Location"));
}

function refused(problem) {
  if (problem.code === "UNAUTHENTICATED") return signOut(sentence(problem));
  if (problem.code === "IDEMPOTENCY_KEY_REUSED") pending = { number: "", key: "" };
  complain(sentence(problem));
}

function left(headers) {
  const [remaining, limit] = ["RateLimit-Remaining", "RateLimit-Limit"].map((name) => headers.get(name));
  at("left").textContent = remaining && limit ? `${remaining} of ${limit} invitations left.` : "";
}

async function show(code, location) {
  at("code").textContent = code;
  at("copied").textContent = "";
  const [{ body }] = await Promise.all([service.invitation(token, location), list()]);
  at("link").value = body ? body.referralUrl : new URL(`/invite/${code}`, document.baseURI).href;
  at("made").hidden = false;
  at("made").focus();
}

async function copy() {
  const link = at("link");
  try {
    await navigator.clipboard.writeText(link.value);
    at("copied").textContent = "Copied.";
  } catch {
    // Not allowed, or not over HTTPS: then it is a matter of one key more.
    link.focus();
    link.select();
    at("copied").textContent = "The link is selected: copy it with Ctrl+C or ⌘C.";
  }
}

async function list(after = null) {
  const turn = ++asked;
  const { body, problem } = await service.invitations(token, after);
  if (turn !== asked || !token) return;
  if (problem?.code === "UNAUTHENTICATED") return signOut(sentence(problem));
  if (problem) {
    at("list-note").textContent = sentence(problem);
    return;
  }
  const rows = body.invitations.map(row);
  const first = rows[0];
  if (after) at("invitations").append(...rows);
  else at("invitations").replaceChildren(...rows);
  cursor = body.nextCursor;
  // The button goes with its focus, so whoever pressed it is taken to what it brought.
  if (after && !cursor && first) {
    first.tabIndex = -1;
    first.focus();
  }
  at("more").hidden = !cursor;
  at("list-note").textContent = at("invitations").childElementCount ? "" : "You have invited nobody yet.";
}

function row(seen) {
  const item = at("invitation").content.cloneNode(true).firstElementChild;
  const [words, kind] = status(seen.status);
  item.querySelector(".number").textContent = seen.phoneNumber ?? "Number cleared away";
  item.querySelector(".status").textContent = words;
  if (kind) item.querySelector(".status").classList.add(kind);
  item.querySelector(".code").textContent = seen.inviteCode;
  const when = item.querySelector("time");
  when.dateTime = seen.createdAt;
  when.textContent = WHEN.format(new Date(seen.createdAt));
  return item;
}

function submitting(form, action) {
  at(form).addEventListener("submit", (event) => {
    event.preventDefault();
    action();
  });
}

submitting("sign-in-form", () => {
  const given = at("token").value.trim();
  if (given) signIn(given);
  else at("token").focus();
});
submitting("invite-form", invite);
at("phone").addEventListener("input", () => complain(""));
at("copy").addEventListener("click", copy);
at("refresh").addEventListener("click", () => list());
at("more").addEventListener("click", () => list(cursor));

submitting("arrived-form", () => {
  if (arrived) signIn(arrived);
});

// Only to be shown: whether the token is good is the service's to say.
function nameIn(given) {
  try {
    const bytes = Uint8Array.from(atob(given.split(".")[1].replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
    const { name, sub } = JSON.parse(new TextDecoder().decode(bytes));
    return String(name || sub).slice(0, 60);
  } catch {
    return "somebody unknown";
  }
}

// A fragment is sent to no server; what an app puts there is taken out of the address and the history at once. Anybody
// can send a link with a token of theirs, so it signs nobody in before they have read whom.
function arrive() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  history.replaceState(null, "", location.pathname);
  if (!given) {
    if (!token && !arrived) signOut();
    return;
  }
  signOut();
  at("sign-in").hidden = true;
  arrived = given;
  at("arrived-who").textContent = nameIn(given);
  at("arrived").hidden = false;
  at("continue").focus();
}

addEventListener("hashchange", arrive);
arrive();
