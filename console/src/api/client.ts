// The one place that speaks to the server: the public API with the token of the session, and nothing else.

import { forgetToken, token } from "../session";
import { answered, silent } from "./presence";

const PREFIX = "/api/v3";

/** What a value in a query may be; `undefined` and the empty text leave it out. */
export type Query = Record<string, string | number | boolean | undefined>;

/** A sentence, several, or errors of fields: the body of an answer with an error. */
export type Errors = { [field: string]: Errors } | Errors[] | string[] | string | null;

/** The server has answered that it won't. */
export class Refusal extends Error {
    constructor(
        readonly status: number,
        readonly body: Errors,
    ) {
        super(sentence(body) || `The server answers with status ${status}.`);
    }
}

/** Whether a write was refused since what it goes by isn't there any more, or isn't what it was. */
export function isOutdated(error: unknown): boolean {
    return error instanceof Refusal && [404, 412].includes(error.status);
}

/** There is no answer, or not from the server itself. */
export class Silence extends Error {
    constructor() {
        super("The server doesn't answer.");
    }
}

/** An answer, with the tag of the state that it shows. */
export interface Answer<T> {
    data: T;
    etag: string | null;
}

export interface Options {
    query?: Query;
    body?: unknown;
    /** The tag of the state that a write is about: in another one it is refused with 412. */
    ifMatch?: string | null;
    /** Sent again with the same key, a POST is done once. */
    idempotencyKey?: string;
    /** Ask what a write would do, and leave it undone. */
    dryRun?: boolean;
    signal?: AbortSignal;
}

/** What the API says of a token that it doesn't take. */
const NOT_SIGNED_IN = ["Token invalid/expired", "Authentication credentials were not provided."];

/** On authentik's database there may be no table for keys: then the server refuses whoever sends one, and does nothing. */
const NO_KEYS = 501;
let keepsKeys = true;

async function call<T>(method: string, path: string, options: Options = {}): Promise<Answer<T>> {
    const headers = new Headers({ Accept: "application/json", Authorization: `Bearer ${token() ?? ""}` });
    if (options.body !== undefined) headers.set("Content-Type", "application/json");
    if (options.ifMatch) headers.set("If-Match", options.ifMatch);
    if (options.idempotencyKey && keepsKeys) headers.set("Idempotency-Key", options.idempotencyKey);
    const response = await send(address(path, options), {
        method,
        headers,
        body: options.body === undefined ? null : JSON.stringify(options.body),
        signal: options.signal ?? null,
        cache: "no-store",
    });
    if (response.status === NO_KEYS && headers.has("Idempotency-Key")) {
        const { idempotencyKey: _, ...without } = options;
        const answer = await call<T>(method, path, without);
        keepsKeys = false;
        return answer;
    }
    const data = await read(response);
    if (!response.ok) throw refused(response.status, data as Errors);
    return { data: data as T, etag: response.headers.get("ETag") };
}

async function send(url: string, init: RequestInit): Promise<Response> {
    let response;
    try {
        response = await fetch(url, init);
    } catch (error) {
        if (init.signal?.aborted) throw error;
        silent();
        throw new Silence();
    }
    // 502 and 504 are a proxy's words. 503 may be about this request alone: whether it is, `silent` asks.
    if ([502, 503, 504].includes(response.status)) silent();
    else answered();
    return response;
}

/** The JSON of an answer; `null` where there is none, or something else. */
async function read(response: Response): Promise<unknown> {
    const text = await response.text();
    if (!response.headers.get("Content-Type")?.includes("json")) return null;
    try {
        return JSON.parse(text);
    } catch {
        return null;
    }
}

function refused(status: number, body: Errors): Error {
    if (status === 502 || status === 504) return new Silence();
    const refusal = new Refusal(status, body);
    if (status === 403 && NOT_SIGNED_IN.includes(refusal.message))
        forgetToken("This token isn't valid, or not any more.");
    return refusal;
}

function address(path: string, options: Options): string {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(options.query ?? {})) {
        if (value !== undefined && value !== "") query.set(name, String(value));
    }
    if (options.dryRun) query.set("dry_run", "true");
    const text = query.toString();
    return `${PREFIX}${path}${text && "?"}${text}`;
}

/** The first sentence in the body of an error, with the field that it is about. */
function sentence(body: Errors, field = ""): string {
    if (typeof body === "string") return field && field !== "detail" && field !== "error" ? `${field}: ${body}` : body;
    if (Array.isArray(body)) return firstOf(body.map((entry) => sentence(entry, field)));
    if (body === null) return "";
    return firstOf(
        Object.entries(body).map(([name, errors]) => sentence(errors, name === "non_field_errors" ? "" : name)),
    );
}

function firstOf(sentences: string[]): string {
    return sentences.find((text) => text !== "") ?? "";
}

export const api = {
    get: <T>(path: string, options?: Options) => call<T>("GET", path, options),
    describe: <T>(path: string, options?: Options) => call<T>("OPTIONS", path, options),
    post: <T>(path: string, body: unknown, options?: Options) => call<T>("POST", path, { ...options, body }),
    patch: <T>(path: string, body: unknown, options?: Options) => call<T>("PATCH", path, { ...options, body }),
    delete: (path: string, options?: Options) => call<null>("DELETE", path, options),
};

/** A new key for a POST. `crypto.randomUUID` is there on HTTPS alone. */
export function newKey(): string {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What to tell a person of anything that went wrong. */
export function told(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}
