// What people read for what programs say. Every code of problems.py and every status of status.py stands here.

const plainly = (detail) => {
  const text = detail.replace(/^[\w.-]+: /, "");
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
};

const span = (seconds) => {
  const minutes = Math.ceil(seconds / 60);
  if (seconds < 60) return seconds === 1 ? "a second" : `${seconds} seconds`;
  if (minutes < 60) return minutes === 1 ? "a minute" : `${minutes} minutes`;
  const hours = Math.round(minutes / 60);
  return hours === 1 ? "an hour" : `${hours} hours`;
};

const later = ({ wait }) => (wait ? `in ${span(wait)}` : "in a moment");
const asking = ({ traceId }) => (traceId ? ` When you ask for help, quote ${traceId}.` : "");

const PROBLEMS = {
  MALFORMED_REQUEST: ({ detail }) => plainly(detail),
  UNAUTHENTICATED: () => "Your sign-in has expired. Sign in again.",
  FORBIDDEN: () => "Your account may not invite friends. Sign in with another one.",
  NOT_FOUND: () => "This was not found. Reload the page.",
  METHOD_NOT_ALLOWED: () => "This page is out of date. Reload it.",
  UNSUPPORTED_MEDIA_TYPE: () => "This page is out of date. Reload it.",
  REQUEST_TIMEOUT: () => "Your connection is too slow at the moment. Try again; nobody is invited twice.",
  DUPLICATE_INVITATION: (problem) => `This number was invited a short time ago, by you or somebody else. Try again ${later(problem)}, or another number.`,
  IDEMPOTENCY_KEY_IN_USE: () => "This invitation is still being processed. Try again in a moment; nobody is invited twice.",
  NOT_ACCEPTABLE_NOW: () => "This invitation cannot be accepted.",
  GONE: () => "This invitation is over.",
  BODY_TOO_LARGE: () => "That is too long for a phone number. Check it.",
  INVALID_PHONE_NUMBER: ({ detail }) => plainly(detail),
  IDEMPOTENCY_KEY_REUSED: () => "The number changed while it was being sent. Press “Invite Friend” once more.",
  RATE_LIMITED: (problem) => `You have no invitations left for now. You can send the next one ${later(problem)}.`,
  TOO_MANY_ATTEMPTS: (problem) => `Too many wrong codes. Try again ${later(problem)}.`,
  INTERNAL_ERROR: (problem) => `Something is wrong on our side. Try again later.${asking(problem)}`,
  UNAVAILABLE: (problem) => `We cannot do this just now. Try again ${later(problem)}; nobody is invited twice.`,
  PROVIDER_FAILED: () => "The text message could not be sent. Try again later.",
  NO_ANSWER: () => "No answer. Check your connection and try again; nobody is invited twice.",
};

export const sentence = (problem) => (PROBLEMS[problem.code] ?? PROBLEMS.INTERNAL_ERROR)(problem);

const STATUSES = {
  PENDING: ["On its way", ""],
  QUEUED: ["On its way", ""],
  SENDING: ["On its way", ""],
  SENT: ["Sent", ""],
  DELIVERED: ["Delivered", "good"],
  ACCEPTED: ["Accepted", "good"],
  FAILED: ["Could not be sent", "bad"],
  UNDELIVERED: ["Did not arrive", "bad"],
  UNKNOWN: ["May not have arrived", ""],
  EXPIRED: ["Expired", ""],
};

export const status = (name) => STATUSES[name] ?? [name, ""];
