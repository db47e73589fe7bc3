# SPDX-License-Identifier: Apache-2.0
"""Which networks of torchvision are exported, a family a line."""

# One of each family is enough for a test, all of a line for a bench; names in torchvision.models,
# .segmentation and .video.
FAMILIES = """
alexnet
convnext_tiny
deeplabv3_mobilenet_v3_large deeplabv3_resnet50
densenet121
efficientnet_b0 efficientnet_v2_s
fcn_resnet50
googlenet googlenet+transform_input
inception_v3 inception_v3+transform_input
lraspp_mobilenet_v3_large
maxvit_t
mc3_18
mnasnet0_5 mnasnet1_0
mobilenet_v2
mobilenet_v3_small mobilenet_v3_large
r2plus1d_18
r3d_18
regnet_x_400mf regnet_x_1_6gf
regnet_y_400mf regnet_y_1_6gf
resnet18 resnet50
resnext50_32x4d
s3d
shufflenet_v2_x0_5 shufflenet_v2_x1_0
squeezenet1_1 squeezenet1_0
swin_t
swin_v2_t
vgg11 vgg11_bn
vit_b_32 vit_b_16
wide_resnet50_2
"""
DEFAULT = FAMILIES.split()
FIRST = [line.split()[0] for line in FAMILIES.strip().splitlines()]

# What --all adds: other sizes of these families.
OTHERS = """
convnext_small convnext_base convnext_large
deeplabv3_resnet101
densenet161 densenet169 densenet201
efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6 efficientnet_b7
efficientnet_v2_m efficientnet_v2_l
fcn_resnet101
mnasnet0_75 mnasnet1_3
mvit_v1_b mvit_v2_s
regnet_x_800mf regnet_x_3_2gf regnet_x_8gf regnet_x_16gf regnet_x_32gf
regnet_y_800mf regnet_y_3_2gf regnet_y_8gf regnet_y_16gf regnet_y_32gf
resnet34 resnet101 resnet152
resnext101_32x8d resnext101_64x4d
shufflenet_v2_x1_5 shufflenet_v2_x2_0
swin_s swin_b
swin_v2_s swin_v2_b
vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn
vit_l_16 vit_l_32
wide_resnet101_2
"""
ALL = DEFAULT + OTHERS.split()

# Networks whose speed is compared.
TIMED = """
resnet18 resnet50 resnext50_32x4d regnet_y_400mf densenet121 googlenet squeezenet1_0 mobilenet_v2
mobilenet_v3_large mnasnet1_0 efficientnet_b0 shufflenet_v2_x1_0 convnext_tiny vit_b_16
""".split()
