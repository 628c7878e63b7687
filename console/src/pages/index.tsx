// Which page an address is.

import type { VNode } from "preact";

import { Flow } from "./flow";
import { Flows } from "./flows";
import { Groups } from "./groups";
import { Invitation } from "./invitation";
import { InvitationNew } from "./invitation-new";
import { Invitations } from "./invitations";
import { InvitationsImport } from "./invitations-import";
import { NotFound } from "./not-found";
import { ObjectNew } from "./object-new";
import { Stage } from "./stage";
import { KINDS, Stages } from "./stages";
import { Tokens } from "./tokens";
import { Users } from "./users";

/** What the menu shows. */
export const PAGES = [
    { path: "/invitations", label: "Invitations" },
    { path: "/stages", label: "Stages" },
    { path: "/flows", label: "Flows" },
    { path: "/users", label: "Users" },
    { path: "/groups", label: "Groups" },
    { path: "/tokens", label: "Tokens" },
];

const [FIRST] = Object.keys(KINDS) as [string];

/** The page at an address. */
export function pageOf(path: string): VNode {
    const [, area = "", name = "", more = ""] = path.split("/").map(decodeURIComponent);
    switch (area) {
        case "invitations":
            if (name === "new") return <InvitationNew />;
            if (name === "import") return <InvitationsImport />;
            return name ? <Invitation key={name} pk={name} /> : <Invitations />;
        case "stages": {
            const kind = KINDS[name || FIRST];
            if (!kind) return <NotFound />;
            if (more === "new") return <ObjectNew key={kind.slug} {...kind} back={`/stages/${kind.slug}`} />;
            return more ? <Stage key={more} kind={kind} pk={more} /> : <Stages key={kind.slug} kind={kind} />;
        }
        case "flows":
            if (name === "new") return <ObjectNew one="flow" path="/flows/instances/" back="/flows" keyName="slug" />;
            return name ? <Flow key={name} slug={name} /> : <Flows />;
        case "users":
            return <Users />;
        case "groups":
            return <Groups />;
        case "tokens":
            return <Tokens />;
        default:
            return <NotFound />;
    }
}
