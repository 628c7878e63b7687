import type { Token } from "../api/types";
import { useTitle } from "../hooks";
import { List, useList } from "../ui/list";
import { Badge, Expiry, Head, Quiet } from "../ui/parts";

export function Tokens() {
    useTitle("Tokens");
    const list = useList<Token>("/core/tokens/");
    return (
        <>
            <Head title="Tokens" />
            <List
                one="token"
                list={list}
                keyOf={(token) => token.pk}
                columns={[
                    {
                        label: "Identifier",
                        ordering: "identifier",
                        cell: (token) => <span class="text">{token.identifier}</span>,
                    },
                    { label: "User", cell: (token) => <span class="word">{token.user_obj.username}</span> },
                    {
                        label: "Intent",
                        ordering: "intent",
                        cell: (token) => <Badge>{token.intent.replaceAll("_", " ")}</Badge>,
                    },
                    { label: "Description", cell: (token) => token.description || <Quiet>–</Quiet> },
                    {
                        label: "Expires",
                        ordering: "expires",
                        cell: (token) => <Expiry at={token.expiring ? token.expires : null} />,
                    },
                ]}
            />
        </>
    );
}
