import type { Stage } from "../api/types";
import type { Widget } from "../forms/field";
import { useTitle } from "../hooks";
import { useMayMake } from "../rights";
import { href } from "../router";
import { List, useList } from "../ui/list";
import { Badge, Head, Quiet } from "../ui/parts";
import { GROUPS } from "../ui/picker";
import type { Column } from "../ui/table";

/** A type of stages. */
export interface Kind {
    /** Its place in the console's address. */
    slug: string;
    one: string;
    label: string;
    path: string;
    widgets: Record<string, Widget>;
    /** What its list shows beside name and flows. */
    columns: Column<Stage>[];
}

/** Where a server of its own counts. */
const ownServer = { when: (values: Record<string, unknown>) => values.use_global_settings !== true };

const EMAIL: Kind = {
    slug: "email",
    one: "email stage",
    label: "Email",
    path: "/stages/email/",
    widgets: {
        host: ownServer,
        port: ownServer,
        username: ownServer,
        password: { ...ownServer, secret: true },
        use_tls: ownServer,
        use_ssl: ownServer,
        timeout: ownServer,
        from_address: ownServer,
        template: { suggestionsFrom: "/stages/email/templates/" },
    },
    columns: [
        { label: "Subject", cell: (stage) => <span class="text">{String(stage.subject)}</span> },
        {
            label: "Server",
            cell: (stage) =>
                stage.use_global_settings ? <Quiet>global</Quiet> : `${String(stage.host)}:${String(stage.port)}`,
        },
    ],
};

const USER_WRITE: Kind = {
    slug: "user_write",
    one: "user write stage",
    label: "User write",
    path: "/stages/user_write/",
    widgets: { create_users_group: { from: GROUPS } },
    columns: [
        { label: "Creates users", cell: (stage) => String(stage.user_creation_mode).replaceAll("_", " ") },
        { label: "Type of users", cell: (stage) => String(stage.user_type).replaceAll("_", " ") },
    ],
};

const INVITATION: Kind = {
    slug: "invitation",
    one: "invitation stage",
    label: "Invitation",
    path: "/stages/invitation/stages/",
    widgets: {},
    columns: [
        {
            label: "Without an invitation",
            cell: (stage) => (stage.continue_flow_without_invitation ? "goes on" : "ends the flow"),
        },
    ],
};

/** By their slugs. */
export const KINDS: Record<string, Kind> = Object.fromEntries(
    [EMAIL, USER_WRITE, INVITATION].map((kind) => [kind.slug, kind]),
);

export function Stages({ kind }: { kind: Kind }) {
    useTitle(`${kind.label} stages`);
    const list = useList<Stage>(kind.path);
    const mayMake = useMayMake(kind.path);
    return (
        <>
            <Head title="Stages">
                {mayMake && (
                    <a class="button primary" href={href(`/stages/${kind.slug}/new`)}>
                        New {kind.one}
                    </a>
                )}
            </Head>
            <nav class="tabs" aria-label="Types of stages">
                {Object.values(KINDS).map((one) => (
                    <a
                        key={one.slug}
                        href={href(`/stages/${one.slug}`)}
                        aria-current={one === kind ? "page" : undefined}
                    >
                        {one.label}
                    </a>
                ))}
            </nav>
            <List one={kind.one} list={list} columns={columns(kind)} keyOf={(stage) => stage.pk} />
        </>
    );
}

function columns(kind: Kind): Column<Stage>[] {
    return [
        {
            label: "Name",
            ordering: "name",
            cell: (stage) => (
                <a class="text" href={href(`/stages/${kind.slug}/${stage.pk}`)}>
                    {stage.name}
                </a>
            ),
        },
        ...kind.columns,
        {
            label: "Flows",
            cell: ({ flow_set }) => (
                <span class="badges">
                    {flow_set.map((flow) => (
                        <Badge key={flow.slug}>{flow.slug}</Badge>
                    ))}
                    {flow_set.length === 0 && <Quiet>none</Quiet>}
                </span>
            ),
        },
    ];
}
