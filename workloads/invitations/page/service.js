// Calls of the API. Each settles as an answer or as a problem, and never throws.

const PATIENCE_MS = 20_000;

async function ask(token, path, request = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      ...request,
      headers: { ...request.headers, Authorization: `Bearer ${token}` },
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    const body = await answer.json();
    return answer.ok ? { body, headers: answer.headers } : { problem: { ...body, wait: wait(answer) } };
  } catch {
    // No answer, or one that is not the service's own: a router's page, say.
    return { problem: { code: answer?.status >= 500 ? "UNAVAILABLE" : "NO_ANSWER" } };
  }
}

const wait = (answer) => Number.parseInt(answer.headers.get("Retry-After") ?? "", 10) || 0;

export const invite = (token, phoneNumber, key) =>
  ask(token, "/api/invitations", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify({ phoneNumber }),
  });

export const invitation = (token, location) => ask(token, location);

export const invitations = (token, cursor) =>
  ask(token, cursor ? `/api/invitations?cursor=${encodeURIComponent(cursor)}` : "/api/invitations");
