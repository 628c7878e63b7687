// How values look to people: in their language, and in their time.

const DATE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const AGO = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const NUMBER = new Intl.NumberFormat();

const DAY = 86_400;
/** Units in seconds, and from how many on they are used: "in 45 days" says more than "next month". */
const STEPS: [Intl.RelativeTimeFormatUnit, number, number][] = [
    ["year", 365 * DAY, 2],
    ["month", 30 * DAY, 3],
    ["day", DAY, 2],
    ["hour", 3_600, 1],
    ["minute", 60, 1],
];
/** A point in time, as the API writes it. */
const POINT = /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/;

/** A point in time of the API. */
export function date(text: string): string {
    return DATE.format(new Date(text));
}

/** How far it is from now, such as "in 3 days". */
export function distance(text: string): string {
    const seconds = (new Date(text).getTime() - Date.now()) / 1000;
    const [unit, size] = STEPS.find(([, size, from]) => Math.abs(seconds) >= from * size) ?? ["second", 1];
    return AGO.format(Math.trunc(seconds / size), unit);
}

export function isPast(text: string | null): boolean {
    return text !== null && new Date(text).getTime() <= Date.now();
}

export function number(value: number): string {
    return NUMBER.format(value);
}

/** `1 invitation`, `2 invitations`. */
export function count(value: number, one: string, many = `${one}s`): string {
    return `${number(value)} ${value === 1 ? one : many}`;
}

/** `set_null` as words. */
export function words(name: string): string {
    const text = name.replaceAll("_", " ");
    return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A point in time as `<input type="datetime-local">` has it, in the person's time. */
export function toLocalInput(at: Date): string {
    const local = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
    return local.toISOString().slice(0, 16);
}

/** What such an input holds, as the API takes it; `null` for nothing. */
export function fromLocalInput(text: string): string | null {
    return text ? new Date(text).toISOString() : null;
}

/** Any value of `fixed_data` or of a change, on one line. */
export function value(of: unknown): string {
    if (of === null || of === undefined) return "–";
    if (typeof of === "string" && POINT.test(of)) return date(of);
    return typeof of === "string" ? of : JSON.stringify(of);
}
