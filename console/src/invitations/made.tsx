// What a bulk request made, and its links to take along.

import { useState } from "preact/hooks";

import { api } from "../api/client";
import type { BulkAnswer, Flow, Page } from "../api/types";
import { count } from "../format";
import { useLoad } from "../hooks";
import { href } from "../router";
import { tell } from "../ui/toasts";
import { link, save } from "./link";

export function Made({ answer, flow }: { answer: BulkAnswer; flow: string | null }) {
    // The flow that they had when they were made.
    const [asked] = useState(flow);
    const flows = useLoad(asked, async (signal) => {
        const { data } = await api.get<Page<Flow>>("/flows/instances/", { query: { flow_uuid: asked ?? "" }, signal });
        return data.results[0]?.slug;
    });
    const slug = flows.data;
    const download = () => {
        const made = answer.results.filter(({ pk }) => pk);
        const rows = made.map(({ pk, name, expires }) =>
            [name, slug ? link(pk ?? "", slug) : pk, expires ?? ""].join(","),
        );
        save("invitations.csv", "text/csv", ["name,link,expires", ...rows, ""].join("\n"));
        tell("The links are saved. Whoever has them can use them.");
    };
    return (
        <div class="note good" role="status">
            <p>{count(answer.created, "invitation")} made.</p>
            <div class="actions">
                <button type="button" onClick={download}>
                    {slug ? "Save the links" : "Save the keys"}
                </button>
                <a class="button" href={href("/invitations")}>
                    See them
                </a>
            </div>
        </div>
    );
}
