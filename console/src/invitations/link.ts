// The link of an invitation, as the mails have it.

const META = "public-url";

/** Where people reach authentik, if the server was told (AUTHENTIK_STAGES__PUBLIC_URL). */
export function publicUrl(): string | null {
    const content = document.querySelector<HTMLMetaElement>(`meta[name="${META}"]`)?.content;
    return content?.startsWith("http") ? content : null;
}

/** The link; without `publicUrl` it begins with this page's own address. */
export function link(pk: string, slug: string): string {
    return `${publicUrl() ?? location.origin}/if/flow/${encodeURIComponent(slug)}/?itoken=${pk}`;
}

/** Copy a text. Browsers have the clipboard on HTTPS and on this machine alone; elsewhere there is the old way. */
export async function copy(text: string): Promise<boolean> {
    if (navigator.clipboard) {
        await navigator.clipboard.writeText(text);
        return true;
    }
    const area = document.createElement("textarea");
    area.value = text;
    // In a dialog the rest of the page can't be focused.
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
}

/** Let the browser save a text as a file. */
export function save(name: string, type: string, text: string): void {
    const anchor = document.createElement("a");
    anchor.href = URL.createObjectURL(new Blob([text], { type }));
    anchor.download = name;
    anchor.click();
    URL.revokeObjectURL(anchor.href);
}
