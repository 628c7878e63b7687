import { useTitle } from "../hooks";
import { Head } from "../ui/parts";

export function NotFound() {
    useTitle("Nothing here");
    return (
        <>
            <Head title="There is nothing here" back={{ path: "/invitations", label: "Invitations" }} />
            <p>The address names no page of the console.</p>
        </>
    );
}
