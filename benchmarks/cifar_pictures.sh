# For scripts: pictures DIR OUT SPLIT makes OUT/train, OUT/test (DIR's SPLIT) and OUT/val, of links. A thousand pictures of
# val/ say enough after each epoch; to choose something, all of val/ is scored at the end, in the place of test/.
pictures() {
    mkdir -p "$2"
    ln -sfn "$(realpath "$1/train")" "$2/train"
    ln -sfn "$(realpath "$1/$3")" "$2/test"
    for class in "$1"/val/*/; do
        mkdir -p "$2/val/$(basename "$class")"
        find "$(realpath "$class")" -type f | sort | sed -n 1,100p | xargs ln -sf -t "$2/val/$(basename "$class")"
    done
}
