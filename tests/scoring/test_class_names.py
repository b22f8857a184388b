"""What outputs are called."""

from assemble.scoring.class_names import is_imagenet, output_names, synsets


def test_imagenet_in_words():
    names = output_names(1000, None)
    assert names[985] == "daisy"
    assert output_names(1001, None, 1)[:2] == ["background", names[0]]
    assert output_names(2, [synsets()[985], "mine"]) == ["daisy", "mine"]


def test_other_classes():
    assert output_names(3, ["a", "b", "c"]) == ["a", "b", "c"]
    assert output_names(4, ["a", "b"], 1) == ["background", "a", "b", "output 3"]
    assert output_names(2, None) == ["class 0", "class 1"]


def test_which_data_alexnet_is_a_measure_for():
    assert is_imagenet(synsets(), "imagefolder")
    assert is_imagenet([str(i) for i in range(1000)], "imagenet")
    assert not is_imagenet([str(i) for i in range(1000)], "imagefolder")
    assert not is_imagenet(synsets()[:100], "imagefolder")
