import type { Group } from "../api/types";
import { number } from "../format";
import { useTitle } from "../hooks";
import { List, useList } from "../ui/list";
import { Badge, Head, Quiet } from "../ui/parts";

export function Groups() {
    useTitle("Groups");
    // The keys of members are enough to count them.
    const list = useList<Group>("/core/groups/", [], { include_users: "false", include_parents: "true" });
    return (
        <>
            <Head title="Groups" />
            <List
                one="group"
                list={list}
                keyOf={(group) => group.pk}
                columns={[
                    { label: "Name", ordering: "name", cell: (group) => <span class="text">{group.name}</span> },
                    {
                        label: "Parents",
                        cell: (group) => group.parents_obj?.map((parent) => parent.name).join(", ") || <Quiet>–</Quiet>,
                    },
                    {
                        label: "Rights",
                        cell: (group) =>
                            group.is_superuser ? <Badge tone="warn">superusers</Badge> : <Quiet>–</Quiet>,
                    },
                    { label: "Members", right: true, cell: (group) => number(group.users.length) },
                ]}
            />
        </>
    );
}
