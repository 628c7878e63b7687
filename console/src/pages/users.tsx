import type { User } from "../api/types";
import { useTitle } from "../hooks";
import { List, useList } from "../ui/list";
import { Badge, Head, Quiet, Time } from "../ui/parts";

export function Users() {
    useTitle("Users");
    // What their groups and roles are isn't shown, so it isn't asked for.
    const list = useList<User>("/core/users/", [], { include_groups: "false", include_roles: "false" });
    return (
        <>
            <Head title="Users" />
            <List
                one="user"
                list={list}
                keyOf={(user) => String(user.pk)}
                columns={[
                    {
                        label: "Username",
                        ordering: "username",
                        cell: (user) => <span class="word">{user.username}</span>,
                    },
                    { label: "Name", ordering: "name", cell: (user) => user.name },
                    {
                        label: "Email",
                        ordering: "email",
                        cell: (user) => <span class="text">{user.email || <Quiet>–</Quiet>}</span>,
                    },
                    { label: "Type", cell: (user) => user.type.replaceAll("_", " ") },
                    {
                        label: "Rights",
                        cell: (user) => (
                            <span class="badges">
                                {user.is_superuser && <Badge tone="warn">superuser</Badge>}
                                {!user.is_active && <Badge tone="bad">inactive</Badge>}
                                {!user.is_superuser && user.is_active && <Quiet>–</Quiet>}
                            </span>
                        ),
                    },
                    {
                        label: "Last login",
                        ordering: "last_login",
                        cell: (user) => (user.last_login ? <Time at={user.last_login} /> : <Quiet>never</Quiet>),
                    },
                ]}
            />
        </>
    );
}
