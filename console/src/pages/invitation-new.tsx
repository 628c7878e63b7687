import { ObjectForm } from "../forms/object-form";
import { useLoad, useTitle } from "../hooks";
import { INVITATIONS } from "../invitations/dialogs";
import { WIDGETS, declaredNew } from "../invitations/fields";
import { go } from "../router";
import { Failure, Head, Loading } from "../ui/parts";
import { tell } from "../ui/toasts";

export function InvitationNew() {
    useTitle("New invitation");
    const declared = useLoad("new", declaredNew);
    return (
        <>
            <Head title="New invitation" back={{ path: "/invitations", label: "Invitations" }} />
            {declared.error ? <Failure error={declared.error} onRetry={declared.reload} /> : null}
            {declared.data === null && <Failure error="You may not make invitations." />}
            {declared.data ? (
                <ObjectForm
                    declared={declared.data}
                    path={INVITATIONS}
                    widgets={WIDGETS}
                    onCancel={() => go("/invitations")}
                    onSaved={({ data }) => {
                        tell(`${String(data.name)} is invited.`);
                        go(`/invitations/${String(data.pk)}`);
                    }}
                />
            ) : (
                declared.loading && <Loading />
            )}
        </>
    );
}
