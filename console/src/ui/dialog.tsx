// A modal <dialog>: the browser keeps the focus in it, closes it with Escape and gives the focus back.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { useOwnId } from "../hooks";
import { Failure } from "./parts";

interface DialogProps {
    title: string;
    onClose: () => void;
    children: ComponentChildren;
}

export function Dialog({ title, onClose, children }: DialogProps) {
    const dialog = useRef<HTMLDialogElement>(null);
    const heading = useOwnId("dialog");
    useEffect(() => {
        const before = document.activeElement;
        dialog.current?.showModal();
        return () => before instanceof HTMLElement && before.isConnected && before.focus();
    }, []);
    return (
        <dialog ref={dialog} aria-labelledby={heading} onClose={onClose}>
            <h2 id={heading}>{title}</h2>
            {children}
        </dialog>
    );
}

interface ConfirmProps extends DialogProps {
    /** What the button says that does it. */
    action: string;
    dangerous?: boolean;
    disabled?: boolean;
    /** Does it. The dialog stays until it is done, and tells when it fails, unless that said so itself, with `false`. */
    onConfirm: () => Promise<void | false>;
}

/** A dialog with a button that does something, and one that doesn't. */
export function Confirm({ action, dangerous, disabled, onConfirm, children, ...dialog }: ConfirmProps) {
    const [busy, setBusy] = useState(false);
    const [failure, setFailure] = useState<unknown>(null);
    const confirm = async (event: Event) => {
        event.preventDefault();
        setBusy(true);
        setFailure(null);
        try {
            if ((await onConfirm()) === false) setBusy(false);
            else dialog.onClose();
        } catch (error) {
            setBusy(false);
            setFailure(error);
        }
    };
    return (
        <Dialog {...dialog}>
            <form onSubmit={confirm}>
                {children}
                {failure ? <Failure error={failure} /> : null}
                <div class="actions">
                    <button type="button" onClick={dialog.onClose}>
                        Cancel
                    </button>
                    <button type="submit" class={dangerous ? "danger" : "primary"} disabled={busy || disabled}>
                        {action}
                    </button>
                </div>
            </form>
        </Dialog>
    );
}
