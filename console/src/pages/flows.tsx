import type { Flow } from "../api/types";
import { number } from "../format";
import { useTitle } from "../hooks";
import { useMayMake } from "../rights";
import { href } from "../router";
import { List, useList } from "../ui/list";
import { Badge, Head } from "../ui/parts";

const PATH = "/flows/instances/";

export function Flows() {
    useTitle("Flows");
    const list = useList<Flow>(PATH);
    const mayMake = useMayMake(PATH);
    return (
        <>
            <Head title="Flows">
                {mayMake && (
                    <a class="button primary" href={href("/flows/new")}>
                        New flow
                    </a>
                )}
            </Head>
            <List
                one="flow"
                list={list}
                keyOf={(flow) => flow.pk}
                columns={[
                    {
                        label: "Slug",
                        ordering: "slug",
                        cell: (flow) => (
                            <a class="text" href={href(`/flows/${flow.slug}`)}>
                                {flow.slug}
                            </a>
                        ),
                    },
                    { label: "Name", ordering: "name", cell: (flow) => <span class="text">{flow.name}</span> },
                    { label: "Title", cell: (flow) => <span class="text">{flow.title}</span> },
                    {
                        label: "Designation",
                        ordering: "designation",
                        cell: (flow) => <Badge>{flow.designation.replaceAll("_", " ")}</Badge>,
                    },
                    { label: "Stages", right: true, cell: (flow) => number(flow.stages.length) },
                ]}
            />
        </>
    );
}
